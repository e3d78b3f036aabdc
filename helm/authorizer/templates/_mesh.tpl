{{- /* What istiod is told of the provider: the same as `authorizer gateway istio` prints as mesh.yaml. */ -}}
{{- define "authorizer.mesh" -}}
meshConfig:
  extensionProviders:
    - name: authorizer
      envoyExtAuthzGrpc:
        service: authorizer.internal
        port: 9191
        timeout: {{ printf "%.3fs" (divf .Values.check.timeoutMilliseconds 1000) }}
        failOpen: false
        statusOnError: "503"
        {{- if .Values.check.bodyBytes }}
        includeRequestBodyInCheck: {maxRequestBytes: {{ int .Values.check.bodyBytes }}, allowPartialMessage: true, packAsBytes: true}
        {{- end }}
  pathNormalization: {normalization: MERGE_SLASHES}
  defaultConfig:
    gatewayTopology: {numTrustedProxies: 0, forwardClientCertDetails: SANITIZE_SET}
{{- end -}}
