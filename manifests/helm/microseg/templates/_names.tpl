{{/* Labels of every object. Its name is always "microseg": a namespace has one operator, and a second release there is refused. */}}
{{- define "microseg.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: microseg
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* What selects the Pods; it never changes, or no upgrade would be possible. */}}
{{- define "microseg.selector" -}}
app.kubernetes.io/name: microseg
app.kubernetes.io/component: operator
{{- end }}

{{/* The image by digest, else by tag. */}}
{{- define "microseg.image" -}}
{{- if hasPrefix "registry.invalid/" .Values.image.repository -}}
{{- fail "image.repository: nobody publishes an image of microseg yet; build one (podman build -t REGISTRY/microseg:VERSION .), push it, and name it here" -}}
{{- end -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end }}

{{/* Egress to the entries of one list. */}}
{{- define "microseg.egress" -}}
{{- range . }}
- to:
    - ipBlock:
        cidr: {{ .cidr | quote }}
  ports:
    - protocol: TCP
      port: {{ default 443 .port | int64 }}
{{- end }}
{{- end }}
