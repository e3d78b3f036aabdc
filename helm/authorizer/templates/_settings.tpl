{{- /* authorizer.yaml: what the chart knows, with .Values.config laid over it. */ -}}
{{- define "authorizer.settings" -}}
{{- $all := ternary "127.0.0.1" "0.0.0.0" (eq .Values.mode "sidecar") -}}
{{- $made := dict "workers" (int .Values.workers) "drain_seconds" .Values.drainSeconds "state" "/var/lib/authorizer" -}}
{{- $door := dict "listen" (printf "%s:%d" $all (int .Values.ports.extAuthz)) -}}
{{- if and (eq .Values.mode "daemonset") .Values.daemonset.hostPath -}}
{{- $_ := set $door "listen" "unix:/run/authorizer/check.sock" -}}
{{- end -}}
{{- if .Values.tls.existingSecret -}}
{{- $tls := dict "certificate" "/etc/authorizer/tls/tls.crt" "key" "/etc/authorizer/tls/tls.key" -}}
{{- if .Values.tls.clientCertificates -}}
{{- $_ := set $tls "client_ca" "/etc/authorizer/tls/ca.crt" -}}
{{- with .Values.tls.clientNames }}{{ $_ := set $tls "client_names" . }}{{ end -}}
{{- end -}}
{{- $_ := set $door "tls" $tls -}}
{{- end -}}
{{- $_ := set $made "ext_authz" $door -}}
{{- $http := dict "listen" "" -}}
{{- if .Values.forwardAuth.enabled -}}
{{- $http = dict "listen" (printf "%s:%d" $all (int .Values.ports.forwardAuth)) "trusted_peers" .Values.forwardAuth.trustedPeers -}}
{{- if .Values.forwardAuth.existingSecret -}}
{{- $_ := set $http "shared_secret_file" "/etc/authorizer/forward-auth/shared-secret" -}}
{{- end -}}
{{- end -}}
{{- $_ := set $made "forward_auth" $http -}}
{{- $_ := set $made "admin" (dict "listen" (printf "0.0.0.0:%d" (int .Values.ports.admin))) -}}
{{- if include "authorizer.policiesConfigMap" . -}}
{{- $_ := set $made "policies" "/etc/authorizer/policies" -}}
{{- else if include "authorizer.controlPlaneUrl" . -}}
{{- $keys := dict .Values.controlPlane.keyId (dict "file" "/etc/authorizer/control-plane/signing.pub.pem") -}}
{{- $plane := dict "url" (include "authorizer.controlPlaneUrl" .) "token_file" "/etc/authorizer/control-plane/authorizer.token" "keys" $keys -}}
{{- if .Values.controlPlane.caConfigMap -}}
{{- $_ := set $plane "ca_file" "/etc/authorizer/control-plane/ca.crt" -}}
{{- end -}}
{{- $_ := set $made "control_plane" $plane -}}
{{- end -}}
{{- if .Values.rbac.discovery -}}
{{- $names := list "authorizer" "authorizer.internal" (include "authorizer.fullname" .) (include "authorizer.host" .) | uniq -}}
{{- $_ := set $made "discovery" (dict "kubernetes" "in-cluster" "namespaces" .Values.rbac.namespaces "asked_as" $names) -}}
{{- end -}}
{{- toYaml (mergeOverwrite $made (deepCopy .Values.config)) -}}
{{- end -}}

{{- /* What cannot be said by the schema. */ -}}
{{- define "authorizer.refuse" -}}
{{- $policies := include "authorizer.policiesConfigMap" . -}}
{{- $plane := include "authorizer.controlPlaneUrl" . -}}
{{- if and (not .Values.existingConfigMap) $policies $plane -}}
{{- fail "policies and controlPlane exclude each other: keep one" -}}
{{- end -}}
{{- if and (not .Values.existingConfigMap) (not $policies) (not $plane) -}}
{{- fail "no source of policies: set policies.documents, policies.existingConfigMap, controlPlane.url or controlPlane.deploy.enabled" -}}
{{- end -}}
{{- if and $plane (not .Values.controlPlane.existingSecret) (not .Values.existingConfigMap) -}}
{{- fail "controlPlane.existingSecret is needed: a Secret with authorizer.token and signing.pub.pem" -}}
{{- end -}}
{{- if and .Values.controlPlane.deploy.enabled (not .Values.controlPlane.deploy.existingSecret) -}}
{{- fail "controlPlane.deploy.existingSecret is needed: a Secret with signing.pem, authorizer.token and admin.token" -}}
{{- end -}}
{{- if and (gt (int .Values.controlPlane.deploy.replicas) 1) (not .Values.controlPlane.deploy.database.existingSecret) -}}
{{- fail "controlPlane.deploy.database.existingSecret is needed for more than one replica: a Secret with address" -}}
{{- end -}}
{{- if and .Values.rbac.discovery (eq .Values.mode "sidecar") -}}
{{- fail "rbac.discovery is of mode gateway or daemonset: one catalogue a cluster is enough" -}}
{{- end -}}
{{- if and .Values.persistence.enabled (ne .Values.mode "gateway") -}}
{{- fail "persistence is of mode gateway" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (ne .Values.mode "gateway") -}}
{{- fail "autoscaling is of mode gateway" -}}
{{- end -}}
{{- if and .Values.forwardAuth.enabled (not .Values.forwardAuth.trustedPeers) (not .Values.forwardAuth.existingSecret) -}}
{{- fail "forwardAuth believes nobody: set forwardAuth.trustedPeers or forwardAuth.existingSecret" -}}
{{- end -}}
{{- if and .Values.traefik.enabled (or (not .Values.forwardAuth.enabled) .Values.forwardAuth.existingSecret) -}}
{{- fail "traefik needs forwardAuth.enabled, with trustedPeers: it cannot send a secret" -}}
{{- end -}}
{{- if and .Values.istio.enabled (not .Values.istio.selector) -}}
{{- fail "istio.selector is needed: an empty one would be the whole namespace" -}}
{{- end -}}
{{- if and .Values.envoyGateway.enabled (eq .Values.mode "sidecar") -}}
{{- fail "envoyGateway cannot ask a sidecar: it refuses loopback addresses" -}}
{{- end -}}
{{- if and .Values.daemonset.hostPath (ne .Values.mode "daemonset") -}}
{{- fail "daemonset.hostPath is of mode daemonset" -}}
{{- end -}}
{{- if not (eq (list (int .Values.ports.extAuthz) (int .Values.ports.forwardAuth) (int .Values.ports.admin) | uniq | len) 3) -}}
{{- fail "ports: three different ones are needed" -}}
{{- end -}}
{{- if and .Values.daemonset.hostPath (or .Values.envoyGateway.enabled .Values.istio.enabled) -}}
{{- fail "gateway objects name the Service: leave daemonset.hostPath empty" -}}
{{- end -}}
{{- if and (gt (int .Values.workers) 1) (or .Values.istio.enabled .Values.envoyGateway.enabled) -}}
{{- fail "gateway objects name one port: scale pods instead of workers" -}}
{{- end -}}
{{- end -}}
