// A resource server that takes badged's tokens: Node 20 or later, with the npm package `jose`.
//
//   node resource-server.mjs JWKS-FILE ISSUER AUDIENCE [PORT [STATUS-LIST-FILE]]
//
// It answers 200 {"ok":true,"sub":...}, or 401 with WWW-Authenticate: DPoP error="...". Everything it
// needs to know of badged is the issuer's URL and its public keys, here from a file that badged
// publishes. The checks are those of RFC 9068 4 (the token), RFC 9449 4.3 and 7.1 (the proof) and, with
// the status list that badged publishes, draft-ietf-oauth-status-list 8.3: a revoked token is refused.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { inflateSync } from 'node:zlib'
import * as jose from 'jose'

const [jwksFile, issuer, audience, port = '0', statusListFile] = process.argv.slice(2)
const PROOF_SECONDS = 60 // how old a proof may be, and how long its jti is remembered
const SKEW_SECONDS = 5 // how far in the future
const MAX_REMEMBERED = 100_000
const MAX_STATUS_BYTES = 1 << 20 // of a list after inflation: 2^23 tokens

class Refused extends Error {
  constructor(code, description) {
    super(description)
    this.code = code
  }
}

// Read again for every token with an unknown key: badged publishes a new key before it uses it.
let keys = jose.createLocalJWKSet(JSON.parse(readFileSync(jwksFile)))
async function verifyByIssuer(jwt, options) {
  const pinned = { issuer, algorithms: ['ES256'], ...options }
  try {
    return (await jose.jwtVerify(jwt, keys, pinned)).payload
  } catch (error) {
    if (error.code !== 'ERR_JWKS_NO_MATCHING_KEY') throw error
    keys = jose.createLocalJWKSet(JSON.parse(readFileSync(jwksFile)))
    return (await jose.jwtVerify(jwt, keys, pinned)).payload
  }
}

const verifyToken = token => verifyByIssuer(token, {
  audience, typ: 'at+jwt', requiredClaims: ['exp', 'iat', 'sub', 'jti', 'client_id', 'cnf'] })

// The list is read for each request here; a copy fetched from the issuer's URL is kept for its `ttl`.
async function refuseRevoked(claims) {
  const { idx, uri } = claims.status?.status_list ?? {}
  if (!Number.isSafeInteger(idx) || idx < 0 || typeof uri !== 'string') throw new Refused('invalid_token', 'without a status')
  const list = await verifyByIssuer(readFileSync(statusListFile, 'utf8').trim(), {
    subject: uri, typ: 'statuslist+jwt', requiredClaims: ['iat', 'exp', 'status_list'] })
  const now = Date.now() / 1000
  if (!(list.iat <= now + SKEW_SECONDS)) throw new Refused('invalid_token', 'a status list from the future')
  const { bits, lst } = list.status_list
  if (bits !== 1) throw new Refused('invalid_token', 'a status list of another kind')
  const statuses = inflateSync(Buffer.from(lst, 'base64url'), { maxOutputLength: MAX_STATUS_BYTES })
  if (idx >= statuses.length * 8) throw new Refused('invalid_token', 'not in the status list')
  if ((statuses[Math.floor(idx / 8)] >> (idx % 8)) & 1) throw new Refused('invalid_token', 'revoked')
}

const seen = new Map() // "jkt jti" -> when it may be forgotten
function refuseReplay(id, now) {
  for (const [old, until] of seen) {
    if (until > now) break // in order of insertion, so in order of time
    seen.delete(old)
  }
  if (seen.has(id)) throw new Refused('invalid_dpop_proof', 'this proof was used before')
  if (seen.size >= MAX_REMEMBERED) throw new Refused('invalid_dpop_proof', 'too many proofs, try again later')
  seen.set(id, now + PROOF_SECONDS + SKEW_SECONDS)
}

async function verifyProof(proof, token, jkt, method, url) {
  // EmbeddedJWK takes the public key from the proof's own header: whose key that is, jkt decides.
  const { payload, protectedHeader } = await jose.jwtVerify(proof, jose.EmbeddedJWK, {
    typ: 'dpop+jwt', algorithms: ['ES256'], requiredClaims: ['jti', 'htm', 'htu', 'iat', 'ath'] })
  const now = Math.floor(Date.now() / 1000)
  const refuseUnless = (fine, why) => {
    if (!fine) throw new Refused('invalid_dpop_proof', why)
  }
  refuseUnless(!('d' in protectedHeader.jwk), 'the proof shows a private key')
  refuseUnless((await jose.calculateJwkThumbprint(protectedHeader.jwk)) === jkt, 'signed by another key than the token names')
  refuseUnless(payload.htm === method, 'for another method')
  refuseUnless(sameUrl(payload.htu, url), 'for another URL')
  refuseUnless(payload.ath === createHash('sha256').update(token).digest('base64url'), 'for another token')
  refuseUnless(payload.iat > now - PROOF_SECONDS && payload.iat <= now + SKEW_SECONDS, 'too old, or from the future')
  refuseUnless(typeof payload.jti === 'string' && payload.jti.length <= 128, 'without a usable jti')
  refuseReplay(`${jkt} ${payload.jti}`, now)
}

// RFC 9449 4.3: without query and fragment, scheme and host normalised (URL does that).
function sameUrl(htu, url) {
  try {
    const [a, b] = [new URL(htu), new URL(url)]
    return !a.search && !a.hash && a.origin === b.origin && a.pathname === b.pathname
  } catch {
    return false
  }
}

async function check(request) {
  const [scheme, token, ...more] = (request.headers.authorization ?? '').split(' ')
  if (scheme.toLowerCase() !== 'dpop' || !token || more.length) throw new Refused('invalid_token', 'a DPoP-bound token is needed')
  const proofs = request.headersDistinct.dpop ?? []
  if (proofs.length !== 1) throw new Refused('invalid_dpop_proof', 'exactly one proof is needed')
  let claims
  try {
    claims = await verifyToken(token)
    if (statusListFile) await refuseRevoked(claims)
  } catch (error) {
    throw new Refused('invalid_token', error.message)
  }
  if (claims.aud !== audience) throw new Refused('invalid_token', 'more than one audience')
  if (typeof claims.cnf?.jkt !== 'string') throw new Refused('invalid_token', 'bound to no key')
  const url = `http://${request.headers.host}${request.url}`
  try {
    await verifyProof(proofs[0], token, claims.cnf.jkt, request.method, url)
  } catch (error) {
    throw error instanceof Refused ? error : new Refused('invalid_dpop_proof', error.message)
  }
  return claims
}

const server = createServer(async (request, response) => {
  const answer = (status, body, headers = {}) => {
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers })
    response.end(JSON.stringify(body) + '\n')
  }
  try {
    const claims = await check(request)
    answer(200, { ok: true, sub: claims.sub, scope: claims.scope })
  } catch (error) {
    const description = String(error.message).replace(/[^\x20-\x7e]|["\\]/g, "'")
    answer(401, { ok: false, error: error.code, error_description: description },
           { 'WWW-Authenticate': `DPoP error="${error.code ?? 'invalid_token'}", error_description="${description}", algs="ES256"` })
  }
})
server.listen(Number(port), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`))
