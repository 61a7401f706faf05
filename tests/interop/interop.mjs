// Checks pairs of token and proof with npm jose and oauth4webapi, neither of them ours.
//
//   node interop.mjs <CASES.json
//
// CASES: {jwks, issuer, audience, cases: [{name, token, proof?, scheme?, method, url, later?}]}, `later`
// being seconds to look from, past now. The answer on standard output is {NAME: {jose: VERDICT, oauth4webapi: VERDICT}}, a verdict being "accepted" or the
// library's reason. What jose leaves to its caller (RFC 9449 4.3: htm, htu, ath, jkt, iat) is done here
// with jose's own functions.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import * as jose from 'jose'
import * as oauth from 'oauth4webapi'

const { jwks, issuer, audience, cases } = JSON.parse(readFileSync(0, 'utf8'))

async function withJose({ token, proof, scheme = 'DPoP', method, url, later = 0 }) {
  const currentDate = new Date(Date.now() + 1000 * later)
  const { payload } = await jose.jwtVerify(token, jose.createLocalJWKSet(jwks), {
    issuer, audience, currentDate, typ: 'at+jwt', algorithms: ['ES256'],
    requiredClaims: ['exp', 'iat', 'sub', 'jti', 'client_id', 'cnf'] })
  if (scheme !== 'DPoP') throw new Error('a bound token sent as ' + scheme)
  const dpop = await jose.jwtVerify(proof, jose.EmbeddedJWK, {
    typ: 'dpop+jwt', algorithms: ['ES256'], currentDate, maxTokenAge: '60s', clockTolerance: 5,
    requiredClaims: ['jti', 'htm', 'htu', 'iat', 'ath'] })
  const expected = {
    jkt: await jose.calculateJwkThumbprint(dpop.protectedHeader.jwk),
    htm: dpop.payload.htm, htu: new URL(dpop.payload.htu).href, ath: dpop.payload.ath }
  const wanted = new URL(url)
  wanted.search = wanted.hash = ''
  const actual = {
    jkt: payload.cnf.jkt, htm: method, htu: wanted.href,
    ath: createHash('sha256').update(token).digest('base64url') }
  for (const name of Object.keys(expected))
    if (expected[name] !== actual[name]) throw new Error(`${name} differs`)
}

async function withOauth4webapi({ token, proof, scheme = 'DPoP', method, url, later = 0 }) {
  const headers = new Headers({ authorization: `${scheme} ${token}` })
  if (proof) headers.set('dpop', proof)
  await oauth.validateJwtAccessToken(
    { issuer, jwks_uri: `${issuer}/jwks` }, new Request(url, { method, headers }), audience,
    { requireDPoP: true, signingAlgorithms: ['ES256'], [oauth.clockSkew]: later, [oauth.customFetch]: async () => Response.json(jwks) })
}

async function verdict(check, pair) {
  try {
    await check(pair)
    return 'accepted'
  } catch (error) {
    return `refused: ${error.message}` + (error.cause?.message ? ` (${error.cause.message})` : '')
  }
}

const answer = {}
for (const pair of cases)
  answer[pair.name] = { jose: await verdict(withJose, pair), oauth4webapi: await verdict(withOauth4webapi, pair) }
console.log(JSON.stringify(answer))
