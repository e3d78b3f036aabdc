{{- /* Names of the headers that say who the caller is, as a JSON list: those of the settings, or the defaults. */ -}}
{{- define "authorizer.identityHeaders" -}}
{{- if hasKey .Values.config "identity_headers" -}}
{{- keys .Values.config.identity_headers | sortAlpha | toJson -}}
{{- else -}}
["x-auth-subject", "x-auth-client", "x-auth-decision"]
{{- end -}}
{{- end -}}
