// An OpenID provider for the tests: node provider.js CONFIGURATION, which is {port, jwks}. POST /rotate takes a new jwks.
// The client certificate that a TLS listener would have seen is told by the header x-client-cert, in base64 of its DER.
import http from "node:http";
import { X509Certificate } from "node:crypto";
import { Provider } from "oidc-provider";

const { port, jwks } = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const quiet = { redirect_uris: [], response_types: [], id_token_signed_response_alg: "ES256" };
const shared = { ...quiet, grant_types: ["client_credentials"], client_secret: "a-secret-of-a-client-for-tests-only" };

function handler(keys) {
  return new Provider(issuer, {
    jwks: keys,
    clients: [
      { ...shared, client_id: "app" },
      { ...shared, client_id: "certified", tls_client_certificate_bound_access_tokens: true },
      { ...shared, client_id: "gateway" },
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
        getResourceServerInfo: (ctx, resource) => ({
          scope: "read",
          audience: "api",
          accessTokenTTL: 600,
          ...(resource === "urn:opaque"
            ? { accessTokenFormat: "opaque" }
            : { accessTokenFormat: "jwt", jwt: { sign: { alg: "ES256" } } }),
        }),
      },
    },
  }).callback();
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
