// An OpenID provider for the tests: node provider.js CONFIGURATION, which is {port, jwks, partner, broker}. POST /rotate
// takes a new jwks. Tokens that are signed by a key of partner are exchanged (RFC 8693) for the client that has those of
// broker.
// The client certificate that a TLS listener would have seen is told by the header x-client-cert, in base64 of its DER.
import http from "node:http";
import { X509Certificate } from "node:crypto";
import { createLocalJWKSet, jwtVerify } from "jose";
import { Provider, errors } from "oidc-provider";

const { port, jwks, partner, broker } = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const quiet = { redirect_uris: [], response_types: [], id_token_signed_response_alg: "ES256" };
const shared = { ...quiet, grant_types: ["client_credentials"], client_secret: "a-secret-of-a-client-for-tests-only" };

const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";
const signing = { token_endpoint_auth_method: "private_key_jwt", token_endpoint_auth_signing_alg: "ES256" };
const resource = { scope: "read", audience: "api", accessTokenTTL: 600 };
const signed = { accessTokenFormat: "jwt", jwt: { sign: { alg: "ES256" } } };

function handler(keys) {
  const provider = new Provider(issuer, {
    jwks: keys,
    clients: [
      { ...shared, client_id: "app" },
      { ...shared, client_id: "certified", tls_client_certificate_bound_access_tokens: true },
      { ...shared, client_id: "gateway" },
      { ...quiet, client_id: "broker", grant_types: [EXCHANGE], ...signing, jwks: broker },
    ],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        getCertificate: (ctx) => {
          const told = ctx.get("x-client-cert");
          return told ? new X509Certificate(Buffer.from(told, "base64")) : undefined;
        },
      },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (ctx, name) => ({
          ...resource,
          ...(name === "urn:opaque" ? { accessTokenFormat: "opaque" } : signed),
        }),
      },
    },
  });
  const exchange = async (ctx) => {
    const { subject_token: token, scope, audience } = ctx.oidc.params;
    let subject;
    try {
      subject = (await jwtVerify(token, createLocalJWKSet(partner))).payload;
    } catch {
      throw new errors.InvalidGrant("subject_token");
    }
    const issued = new provider.AccessToken({ client: ctx.oidc.client, accountId: `partner-${subject.sub}`, scope });
    issued.resourceServer = new provider.ResourceServer("urn:jwt", { ...resource, ...signed, audience });
    const made = { access_token: await issued.save(), issued_token_type: ACCESS_TOKEN, token_type: "Bearer" };
    ctx.body = { ...made, expires_in: issued.expiration, scope };
  };
  const parameters = ["subject_token", "subject_token_type", "requested_token_type", "audience", "scope"];
  provider.registerGrantType(EXCHANGE, exchange, parameters);
  return provider.callback();
}

let current = handler(jwks);
http
  .createServer((request, response) => {
    if (request.url !== "/rotate") return current(request, response);
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      current = handler(JSON.parse(Buffer.concat(parts)));
      response.end();
    });
  })
  .listen(port, "127.0.0.1", () => console.log("ready"));
