{{/* Names. */}}
{{- define "podrobin.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "podrobin.fullname" -}}
{{- $name := include "podrobin.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What selects the objects of one component; never changes over upgrades. Takes (list . COMPONENT). */}}
{{- define "podrobin.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "podrobin.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* The labels that Kubernetes recommends. Takes (list . COMPONENT). */}}
{{- define "podrobin.labels" -}}
{{- $root := index . 0 -}}
{{ include "podrobin.selector" . }}
app.kubernetes.io/part-of: podrobin
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Images. A digest wins over a tag. */}}
{{- define "podrobin.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "podrobin.sidecarImage" -}}
{{- $image := .Values.image }}
{{- $own := .Values.sidecar.image }}
{{- $repository := $own.repository | default $image.repository }}
{{- $digest := $own.digest }}
{{- if not (or $own.digest $own.repository $own.tag) }}
{{- $digest = $image.digest }}
{{- end }}
{{- if $digest }}{{ $repository }}@{{ $digest }}{{ else }}{{ $repository }}:{{ $own.tag | default $image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "podrobin.sidecarPullPolicy" -}}
{{- .Values.sidecar.image.pullPolicy | default .Values.image.pullPolicy }}
{{- end }}

{{- define "podrobin.certificateSecret" -}}
{{- if eq .Values.webhook.certificate.mode "secret" -}}
{{ .Values.webhook.certificate.secretName }}
{{- else -}}
{{ include "podrobin.fullname" . }}-webhook-tls
{{- end }}
{{- end }}

{{/* Whose pods are looked at. Names of namespaces are a label that the API server keeps on each. */}}
{{- define "podrobin.namespaceSelector" -}}
{{- with .Values.injection.namespaces -}}
{{- with .matchLabels }}
matchLabels:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if or .exclude .include }}
matchExpressions:
  {{- with .exclude }}
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: {{ toJson . }}
  {{- end }}
  {{- with .include }}
  - key: kubernetes.io/metadata.name
    operator: In
    values: {{ toJson . }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
Pods that ask for nothing never cost a call: the webhook and the policies begin with these conditions. An annotation
cannot be selected by a label selector, but CEL sees it. Any annotation of podrobin's counts, so that a mistyped one is
told.
*/}}
{{- define "podrobin.asks" -}}
- name: has-an-annotation-of-podrobin
  expression: has(object.metadata.annotations) && object.metadata.annotations.exists(key, key.startsWith('podrobin.io/'))
- name: has-not-opted-out
  expression: "!('podrobin.io/inject' in object.metadata.annotations) || object.metadata.annotations['podrobin.io/inject'] != 'false'"
{{- end }}

{{/* What cannot work is refused here, before anything is installed. */}}
{{- define "podrobin.validate" -}}
{{- with .Values }}
{{- if and (eq .injection.mode "policy") (not ($.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy")) }}
{{- fail "injection.mode=policy needs MutatingAdmissionPolicy in admissionregistration.k8s.io/v1, which this cluster lacks (Kubernetes 1.36 has it): use injection.mode=webhook, or for `helm template` add --api-versions admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" }}
{{- end }}
{{- if and (eq .injection.mode "policy") (eq .sidecar.mode "plain") }}
{{- fail "sidecar.mode=plain is not for injection.mode=policy: clusters with the policy have native sidecars; use sidecar.mode=native, or injection.mode=webhook" }}
{{- end }}
{{- if and (ne .injection.mode "none") (eq .sidecar.mode "native") (semverCompare "<1.29.0-0" $.Capabilities.KubeVersion.Version) }}
{{- fail (printf "this cluster (%s) has no native sidecars, which came with Kubernetes 1.29: use sidecar.mode=plain" $.Capabilities.KubeVersion.Version) }}
{{- end }}
{{- if eq .injection.mode "webhook" }}
{{- with .webhook.certificate }}
{{- if and (eq .mode "secret") (not (and .secretName .caBundle)) }}
{{- fail "webhook.certificate.mode=secret needs webhook.certificate.secretName (a Secret of type kubernetes.io/tls) and webhook.certificate.caBundle (the CA that signed it, PEM: --set-file webhook.certificate.caBundle=ca.crt)" }}
{{- end }}
{{- if and (eq .mode "helm") (le (int .days) (int .renewDays)) }}
{{- fail "webhook.certificate.days must be more than webhook.certificate.renewDays: every upgrade would make a new certificate" }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The same choices for the webhook that the policy has in its text: flags of `podrobin webhook`, as variables. */}}
{{- define "podrobin.installation" -}}
- name: PODROBIN_INJECT_IMAGE
  value: {{ include "podrobin.sidecarImage" . | quote }}
- name: PODROBIN_INJECT_IMAGE_PULL_POLICY
  value: {{ include "podrobin.sidecarPullPolicy" . | quote }}
- name: PODROBIN_INJECT_SIDECAR
  value: {{ .Values.sidecar.mode | quote }}
- name: PODROBIN_INJECT_CLUSTER_DOMAIN
  value: {{ .Values.injection.clusterDomain | quote }}
{{- range $name, $amount := dict
  "CPU_REQUEST" (dig "requests" "cpu" "" .Values.sidecar.resources)
  "MEMORY_REQUEST" (dig "requests" "memory" "" .Values.sidecar.resources)
  "CPU_LIMIT" (dig "limits" "cpu" "" .Values.sidecar.resources)
  "MEMORY_LIMIT" (dig "limits" "memory" "" .Values.sidecar.resources) }}
{{- with $amount }}
- name: PODROBIN_INJECT_{{ $name }}
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- with .Values.sidecar.extraEnv }}
- name: PODROBIN_INJECT_EXTRA_ENV
  value: {{ $list := list }}{{ range $name, $value := . }}{{ $list = append $list (printf "%s=%s" $name $value) }}{{ end }}{{ join "," $list | quote }}
{{- end }}
{{- end }}
