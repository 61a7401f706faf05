// An agent's token exchange (RFC 8693) by oauth4webapi, against badged as against any authorization
// server; what comes of it is checked by jose. The process that runs this is the agent.
//
//   node exchange.mjs <REQUEST.json
//
// REQUEST: {socket, audience, exchanges: [{name, parameters}]}. The answer on standard output:
// {NAME: {granted?: the answer, claims?: what jose verified, error?, error_description?}}.
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import * as jose from 'jose'
import * as oauth from 'oauth4webapi'

const { socket, audience, exchanges } = JSON.parse(readFileSync(0, 'utf8'))

// The Unix socket in place of the issuer's https: the one thing that differs from any other server.
function overSocket(url, options) {
  return new Promise((resolve, reject) => {
    const path = new URL(url).pathname.replace(/^\/jwks\.json$/, '/v1/jwks')
    const headers = Object.fromEntries(new Headers(options.headers))
    const body = options.body === undefined ? undefined : String(options.body)
    if (body !== undefined) headers['content-length'] = Buffer.byteLength(body)
    const sent = request({ socketPath: socket, path, method: options.method, headers }, answer => {
      const parts = []
      answer.on('data', part => parts.push(part))
      answer.on('end', () => resolve(new Response(Buffer.concat(parts), { status: answer.statusCode, headers: answer.headers })))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
const options = { [oauth.customFetch]: overSocket }
const issuer = new URL(JSON.parse(await (await overSocket('https://x/.well-known/oauth-authorization-server', { method: 'GET' })).text()).issuer)
const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...options }))
const keys = jose.createLocalJWKSet(await (await overSocket(server.jwks_uri, { method: 'GET' })).json())
const client = { client_id: 'the-process' }
const grant = 'urn:ietf:params:oauth:grant-type:token-exchange'
if (!server.grant_types_supported.includes(grant)) throw new Error('the metadata does not offer token exchange')

const results = {}
for (const { name, parameters } of exchanges) {
  try {
    const response = await oauth.genericTokenEndpointRequest(server, client, oauth.None(), grant, parameters, options)
    const granted = await oauth.processGenericTokenEndpointResponse(server, client, response)
    const { payload } = await jose.jwtVerify(granted.access_token, keys, { issuer: server.issuer, audience, typ: 'at+jwt', algorithms: ['ES256'] })
    results[name] = { granted, claims: payload }
  } catch (error) {
    results[name] = { error: error.error ?? error.message, error_description: error.error_description, cause: String(error.cause?.message ?? '') }
  }
}
console.log(JSON.stringify(results))
