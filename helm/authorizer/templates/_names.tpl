{{- define "authorizer.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "authorizer.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "authorizer.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "authorizer.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "authorizer.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{- define "authorizer.selector" -}}
app.kubernetes.io/name: {{ include "authorizer.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: authorizer
{{- end -}}

{{- define "authorizer.controlPlaneSelector" -}}
app.kubernetes.io/name: {{ include "authorizer.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: control-plane
{{- end -}}

{{- define "authorizer.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ include "authorizer.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* metadata of one object: (list . SUFFIX) or (list . SUFFIX NAMESPACE) */ -}}
{{- define "authorizer.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "authorizer.fullname" $root }}{{ index . 1 }}
namespace: {{ if gt (len .) 2 }}{{ index . 2 }}{{ else }}{{ include "authorizer.namespace" $root }}{{ end }}
labels:
  {{- include "authorizer.labels" $root | nindent 2 }}
{{- end -}}

{{- define "authorizer.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "authorizer.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "authorizer.image" -}}
{{- with .Values.image.registry }}{{ . }}/{{ end -}}
{{- .Values.image.repository -}}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end -}}
{{- end -}}

{{- /* The host by which gateways of the cluster reach the doors. */ -}}
{{- define "authorizer.host" -}}
{{- if eq .Values.mode "sidecar" -}}
127.0.0.1
{{- else -}}
{{ include "authorizer.fullname" . }}.{{ include "authorizer.namespace" . }}.svc
{{- end -}}
{{- end -}}

{{- define "authorizer.controlPlaneUrl" -}}
{{- if .Values.controlPlane.url -}}
{{ .Values.controlPlane.url }}
{{- else if .Values.controlPlane.deploy.enabled -}}
{{ ternary "https" "http" (ne .Values.controlPlane.deploy.tlsSecret "") }}://{{ include "authorizer.fullname" . }}-control-plane.{{ include "authorizer.namespace" . }}.svc:9180
{{- end -}}
{{- end -}}

{{- define "authorizer.configMap" -}}
{{- default (printf "%s-config" (include "authorizer.fullname" .)) .Values.existingConfigMap -}}
{{- end -}}

{{- define "authorizer.policiesConfigMap" -}}
{{- if .Values.policies.existingConfigMap -}}
{{ .Values.policies.existingConfigMap }}
{{- else if .Values.policies.documents -}}
{{ include "authorizer.fullname" . }}-policies
{{- end -}}
{{- end -}}

{{- /* The gRPC port of each worker, as a JSON list: from the first one on, passing over the other doors (docs/workers.md). */ -}}
{{- define "authorizer.grpcPorts" -}}
{{- $first := int .Values.ports.extAuthz -}}
{{- $taken := list (int .Values.ports.admin) -}}
{{- if .Values.forwardAuth.enabled }}{{ $taken = append $taken (int .Values.ports.forwardAuth) }}{{ end -}}
{{- $ports := list -}}
{{- range $n := until (int (add .Values.workers 2)) -}}
{{- $port := int (add $first $n) -}}
{{- if and (lt (len $ports) (int $.Values.workers)) (not (has $port $taken)) }}{{ $ports = append $ports $port }}{{ end -}}
{{- end -}}
{{- toJson $ports -}}
{{- end -}}
