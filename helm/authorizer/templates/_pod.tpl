{{- define "authorizer.live" -}}
{command: [/usr/bin/python3, -P, -m, authorizer, health, --live, "127.0.0.1:{{ .Values.ports.admin }}"]}
{{- end -}}

{{- /* Asks within the container: Istio leads probes of ports through its proxy, which may start after a native sidecar only, and
waits for it. A process each time is dearer than a request, so life is asked about each 30 seconds. */ -}}
{{- define "authorizer.probesWithin" -}}
startupProbe:
  exec: {{ include "authorizer.live" . }}
  {{- mergeOverwrite (dict "timeoutSeconds" 5) .Values.probes.startup | toYaml | nindent 2 }}
livenessProbe:
  exec: {{ include "authorizer.live" . }}
  {{- mergeOverwrite (dict) .Values.probes.liveness (dict "periodSeconds" (max 30 (int .Values.probes.liveness.periodSeconds))) | toYaml | nindent 2 }}
{{- end -}}

{{- /* The container, the same in every mode. */ -}}
{{- define "authorizer.container" -}}
name: authorizer
image: {{ include "authorizer.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - serve
  - --config=/etc/authorizer/config/authorizer.yaml
  {{- with .Values.extraArgs }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .Values.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  {{- if not .Values.daemonset.hostPath }}
  - {name: grpc, containerPort: {{ .Values.ports.extAuthz }}, protocol: TCP}
  {{- end }}
  {{- if .Values.forwardAuth.enabled }}
  - {name: http, containerPort: {{ .Values.ports.forwardAuth }}, protocol: TCP}
  {{- end }}
  - {name: admin, containerPort: {{ .Values.ports.admin }}, protocol: TCP}
{{- if and (eq .Values.mode "sidecar") .Values.sidecar.native }}
{{ include "authorizer.probesWithin" . }}
{{- else }}
startupProbe:
  httpGet: {path: /livez, port: admin}
  {{- toYaml .Values.probes.startup | nindent 2 }}
livenessProbe:
  httpGet: {path: /livez, port: admin}
  {{- toYaml .Values.probes.liveness | nindent 2 }}
{{- end }}
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  {{- toYaml .Values.probes.readiness | nindent 2 }}
{{- with .Values.lifecycle }}
lifecycle:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
volumeMounts:
  - {name: authorizer-config, mountPath: /etc/authorizer/config, readOnly: true}
  - {name: authorizer-state, mountPath: /var/lib/authorizer}
  {{- if include "authorizer.policiesConfigMap" . }}
  - {name: authorizer-policies, mountPath: /etc/authorizer/policies, readOnly: true}
  {{- else if .Values.controlPlane.existingSecret }}
  - {name: authorizer-control-plane, mountPath: /etc/authorizer/control-plane, readOnly: true}
  {{- end }}
  {{- if .Values.tls.existingSecret }}
  - {name: authorizer-tls, mountPath: /etc/authorizer/tls, readOnly: true}
  {{- end }}
  {{- if and .Values.forwardAuth.enabled .Values.forwardAuth.existingSecret }}
  - {name: authorizer-forward-auth, mountPath: /etc/authorizer/forward-auth, readOnly: true}
  {{- end }}
  {{- if and (eq .Values.mode "daemonset") .Values.daemonset.hostPath }}
  - {name: authorizer-socket, mountPath: /run/authorizer}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- /* A sidecar's pod may have no fsGroup of ours: there everybody in the pod may read, else only our group. */ -}}
{{- define "authorizer.secretMode" -}}
{{ ternary 292 288 (eq .Values.mode "sidecar") }}
{{- end -}}

{{- define "authorizer.volumes" -}}
- name: authorizer-config
  configMap: {name: {{ include "authorizer.configMap" . }}}
{{- if not .Values.persistence.enabled }}
- name: authorizer-state
  emptyDir: {sizeLimit: {{ .Values.persistence.size }}}
{{- end }}
{{- if include "authorizer.policiesConfigMap" . }}
- name: authorizer-policies
  configMap: {name: {{ include "authorizer.policiesConfigMap" . }}}
{{- else if .Values.controlPlane.existingSecret }}
- name: authorizer-control-plane
  projected:
    defaultMode: {{ include "authorizer.secretMode" . }}
    sources:
      - secret:
          name: {{ .Values.controlPlane.existingSecret }}
          items:
            - {key: authorizer.token, path: authorizer.token}
            - {key: signing.pub.pem, path: signing.pub.pem}
      {{- with .Values.controlPlane.caConfigMap }}
      - configMap:
          name: {{ . }}
          items: [{key: ca.crt, path: ca.crt}]
      {{- end }}
{{- end }}
{{- with .Values.tls.existingSecret }}
- name: authorizer-tls
  secret: {secretName: {{ . }}, defaultMode: {{ include "authorizer.secretMode" $ }}}
{{- end }}
{{- if and .Values.forwardAuth.enabled .Values.forwardAuth.existingSecret }}
- name: authorizer-forward-auth
  secret:
    secretName: {{ .Values.forwardAuth.existingSecret }}
    defaultMode: {{ include "authorizer.secretMode" . }}
    items: [{key: shared-secret, path: shared-secret}]
{{- end }}
{{- if and (eq .Values.mode "daemonset") .Values.daemonset.hostPath }}
- name: authorizer-socket
  hostPath: {path: {{ .Values.daemonset.hostPath }}, type: Directory}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "authorizer.pod" -}}
metadata:
  labels:
    {{- include "authorizer.selector" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    {{- if not .Values.existingConfigMap }}
    checksum/config: {{ include "authorizer.settings" . | sha256sum }}
    {{- end }}
    kubectl.kubernetes.io/default-container: authorizer
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "authorizer.serviceAccount" . }}
  automountServiceAccountToken: {{ .Values.rbac.discovery }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.extraInitContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - {{- include "authorizer.container" . | nindent 6 }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "authorizer.volumes" . | nindent 4 }}
  {{- if ne .Values.mode "daemonset" }}
  topologySpreadConstraints:
    {{- if .Values.topologySpreadConstraints }}
    {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
    {{- else }}
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "authorizer.selector" $ | nindent 10 }}
    {{- end }}
    {{- end }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
