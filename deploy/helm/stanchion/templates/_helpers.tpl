{{- define "stanchion.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "stanchion.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "stanchion.labels" -}}
{{ include "stanchion.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: stanchion
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "stanchion.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The whole settings file: the user's part, and what follows from the other values. */}}
{{- define "stanchion.settings" -}}
{{- $redis := (.Values.settings.cluster | default dict).redis_url -}}
{{- $machines := ternary 1 (int .Values.replicas) (not (empty $redis)) -}}
{{- $own := dict
  "listen" (list "tcp://0.0.0.0:8080")
  "admin" (dict "listen" "tcp://0.0.0.0:9090" "token_env" "STANCHION_ADMIN_TOKEN")
  "secret_keys_env" "STANCHION_KEYS"
  "cluster" (dict "machines" $machines)
  "shutdown" (dict "delay_seconds" (float64 .Values.shutdown.delaySeconds) "grace_seconds" (float64 .Values.shutdown.graceSeconds))
-}}
{{- mustMergeOverwrite (deepCopy .Values.settings) $own | toYaml }}
{{- end }}

{{- define "stanchion.check" -}}
{{- if and .Values.autoscaling.enabled (empty (.Values.settings.cluster | default dict).redis_url) -}}
{{- fail "autoscaling needs settings.cluster.redis_url: without Redis every pod takes an even part of the capacity, so a changing number of pods would change the capacity" -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas must not be above autoscaling.maxReplicas" -}}
{{- end -}}
{{- end }}
