{{- define "parley.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "parley.select" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "parley.labels" -}}
{{ include "parley.select" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "parley.secret" -}}
{{ .Values.existingSecret | default (include "parley.name" .) }}
{{- end }}

{{- define "parley.config" -}}
{{- $own := dict
  "listen" "0.0.0.0:8080"
  "admin_listen" "0.0.0.0:9080"
  "data" "/data"
  "secret_file" "/run/parley/secret"
  "drain" (printf "%ds" (int .Values.drainSeconds))
  "cluster" (dict "listen" "0.0.0.0:9090" "differences" .Values.differences) -}}
{{- mergeOverwrite (deepCopy .Values.config) $own | toYaml -}}
{{- end }}
