{{/* Parts of the policies, in CEL. Texts of Helm's are quoted as JSON, which CEL reads alike. */}}

{{- define "podrobin.policy.match" -}}
resourceRules:
  - apiGroups: [""]
    apiVersions: [v1]
    resources: [pods]
    operations: [CREATE]
    scope: Namespaced
{{- with include "podrobin.namespaceSelector" . }}
namespaceSelector:
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A time between 100ms and 60m, as a regular expression. */}}
{{- define "podrobin.policy.time" -}}
([1-9][0-9]{2,5}ms|([1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|3600)s|([1-9]|[1-5][0-9]|60)m|1h)
{{- end }}

{{/* A policy of balancing, as a regular expression. */}}
{{- define "podrobin.policy.balancing" -}}
(round-robin|random|weighted(:orca(:blackout=(0|{{ include "podrobin.policy.time" . }}))?(:expiry=((2[0-9]|[3-9][0-9]|[1-9][0-9]{2}|[12][0-9]{3}|3[0-5][0-9]{2}|3600)s|([1-9]|[1-5][0-9]|60)m|1h))?(:error-penalty=(([0-9]{1,2}|0[0-9]{2})(\.[0-9]{1,3})?|100(\.0{1,3})?))?(:update=([1-9][0-9]{2,3}ms|([1-9]|10)s))?)?|least-request(:choices=([2-9]|10))?|peak-ewma(:decay={{ include "podrobin.policy.time" . }})?|hash:(path|source|(header|cookie)=[a-zA-Z0-9!#$%&*+.^_|~-]+))
{{- end }}

{{/* What a pod asks for, and what is wrong with it: the rules of src/inject/, in their words where they are the same. */}}
{{- define "podrobin.policy.request" -}}
- name: annotations
  expression: object.metadata.?annotations.orValue({})
- name: asked
  expression: "'podrobin.io/service' in variables.annotations"
- name: containers
  expression: object.spec.?initContainers.orValue([]) + object.spec.containers
# By `podrobin inject`, or by an earlier turn of the policy.
- name: injected
  expression: |-
    variables.containers.exists(c,
      c.name == 'podrobin' && c.?volumeMounts.orValue([]).exists(m, m.name == 'podrobin-token'))
- name: service
  expression: variables.annotations[?'podrobin.io/service'].orValue('')
- name: listen
  expression: variables.annotations[?'podrobin.io/listen'].orValue('127.0.0.1:8000')
- name: adminPort
  expression: variables.annotations[?'podrobin.io/admin-port'].orValue('9800')
# Requests and limits of the sidecar.
- name: amounts
  expression: |-
    {
      {{- range $key, $amount := dict
        "cpu-request" (dig "requests" "cpu" "" .Values.sidecar.resources)
        "memory-request" (dig "requests" "memory" "" .Values.sidecar.resources)
        "cpu-limit" (dig "limits" "cpu" "" .Values.sidecar.resources)
        "memory-limit" (dig "limits" "memory" "" .Values.sidecar.resources) }}
      ?{{ $key | quote }}: variables.annotations[?'podrobin.io/{{ $key }}'].or(optional.ofNonZeroValue({{ $amount | toString | quote }})),
      {{- end }}
    }
# Annotations that mean nothing by themselves: of each its name, its value, the reason and an example.
- name: unreadable
  expression: |-
    variables.annotations.transformList(key, value, [string(key), string(value)])
    .filter(a, a[0].startsWith('podrobin.io/'))
    .map(a, a + (
      a[0] == 'podrobin.io/service' ? [
        a[1].split(',').all(e, e.matches(r'^(([1-9][0-9]{0,4}|[0-9.]+:[1-9][0-9]{0,4}|\[[0-9a-f:.]+\]:[1-9][0-9]{0,4})=)?([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(:([1-9][0-9]{0,4}|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?))?$'))
        ? '' : 'the form is [LISTEN=][NAMESPACE/]NAME[:PORT], separated by a comma alone', 'shop/cart:http,9001=shop/pay:http']
      : a[0] == 'podrobin.io/listen' ? [
        a[1].matches(r'^([1-9][0-9]{0,4}|[0-9.]+:[1-9][0-9]{0,4}|\[[0-9a-f:.]+\]:[1-9][0-9]{0,4})$')
        ? '' : 'give an IP address and a port, such as 127.0.0.1:8000 or [::1]:8000', '127.0.0.1:8080']
      : a[0] == 'podrobin.io/policy' ? [
        a[1].split(',').all(e, e.matches(r'^(([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(:([1-9][0-9]{0,4}|[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?))?=)?{{ include "podrobin.policy.balancing" . }}$'))
        ? '' : 'there are round-robin, random, least-request[:choices=N], peak-ewma[:decay=TIME], weighted, weighted:orca[:OPTION=VALUE], hash:header=NAME, hash:cookie=NAME, hash:path and hash:source', 'random']
      : a[0] == 'podrobin.io/log-level' ? [
        a[1].split(',').all(part, part.matches('^([a-z0-9_:]+=)?(?i:off|error|warn|info|debug|trace)$'))
        ? '' : 'there are off, error, warn, info, debug and trace', 'debug']
      : a[0] == 'podrobin.io/admin-port' ? [
        a[1].matches('^[1-9][0-9]{3,4}$') && int(a[1]) >= 1024 && int(a[1]) <= 65535
        ? '' : 'must be a whole number between 1024 and 65535', '9801']
      : a[0].matches('^podrobin.io/(cpu|memory)-(request|limit)$') ? [
        isQuantity(a[1]) && !a[1].startsWith('+') && quantity(a[1]).isGreaterThan(quantity('0'))
        ? '' : 'an amount is more than 0 and written as Kubernetes does, such as 50m or 32Mi',
        a[0].startsWith('podrobin.io/cpu') ? '100m' : '64Mi']
      : a[0] == 'podrobin.io/inject' ? [
        a[1] in ['true', 'false'] ? '' : 'give true or false', 'false']
      : a[0] == 'podrobin.io/capture' ? [
        a[1] == 'false' ? '' : 'the policy cannot do it, the webhook can (injection.mode of the chart)', 'false']
      : a[0] == 'podrobin.io/sidecar' ? [
        a[1] == 'native' ? '' : 'the policy knows native alone, the webhook plain as well (injection.mode of the chart)', 'native']
      : a[0] == 'podrobin.io/kept' ? ['', '']
      : ['there is none of that name', '']))
    .filter(a, a[2] != '')
    .map(a, a[3] == ''
      ? 'there is no annotation ' + a[0] + ': docs/annotations.md lists what there is'
      : 'annotation ' + a[0] + ': "' + a[1] + '" is not usable: ' + a[2] + ' (an example: "' + a[3] + '")')
# Each Service as it is written, its parts, and where it is reached. Only of what is readable.
- name: targets
  expression: |-
    variables.service.split(',').map(e, {
      "text": e.substring(e.indexOf('=') + 1),
      "at": e.contains('=') ? e.substring(0, e.indexOf('=')) : variables.listen
    }).map(t, {
      "text": t.text,
      "namespace": t.text.contains('/') ? t.text.substring(0, t.text.indexOf('/')) : request.namespace,
      "name": t.text.split(':')[0].substring(t.text.indexOf('/') + 1),
      "servicePort": t.text.contains(':') ? t.text.split(':')[1] : '',
      "host": t.at.contains(':') ? t.at.substring(0, t.at.lastIndexOf(':')) : '127.0.0.1',
      "port": t.at.substring(t.at.lastIndexOf(':') + 1)
    })
# Each policy, and the Service that it is for, if it is for one.
- name: policies
  expression: |-
    variables.annotations[?'podrobin.io/policy'].orValue('').split(',')
    .map(e, e == '' || e.matches(r'^{{ include "podrobin.policy.balancing" . }}$') ? '' : e.substring(0, e.indexOf('=')))
- name: lowestPort
  expression: variables.targets.map(t, int(t.port)).min()
- name: ownLowPorts
  expression: |-
    object.spec.?securityContext.?sysctls.orValue([])
    .filter(s, s.name == 'net.ipv4.ip_unprivileged_port_start').map(s, s.value)
# What makes no sense together.
- name: contradictions
  expression: |-
    variables.targets.filter(t, !isIP(t.host.replace('[', '').replace(']', ''))
      || !ip.isCanonical(t.host.replace('[', '').replace(']', '')) || int(t.port) > 65535)
    .map(t, t.text + ' is to be reached at ' + t.host + ':' + t.port + ', which is no address: give one, such as 127.0.0.1:9001')
    + variables.targets.filter(t, t.host.startsWith('127.0.1.'))
    .map(t, t.text + ' is to be reached at ' + t.host + ':' + t.port + ', but 127.0.1.0/24 is for captured Services: take 127.0.0.1')
    + variables.targets.transformList(i, t,
      variables.targets.slice(0, i).exists(o, o.name == t.name && o.namespace == t.namespace && o.servicePort == t.servicePort)
      ? ['annotation podrobin.io/service names ' + t.text + ' twice: once is enough']
      : variables.targets.slice(0, i).filter(o, o.port == t.port && (o.host == t.host || o.host == '[::]' || t.host == '[::]'
        || ((o.host == '0.0.0.0' || t.host == '0.0.0.0') && !o.host.startsWith('[') && !t.host.startsWith('['))))
        .map(o, o.text + ' and ' + t.text + ' are both to be reached at ' + t.host + ':' + t.port
        + ': give one of them a listener of its own in annotation podrobin.io/service, such as 9001=' + t.text)
    ).flatten()
    + variables.targets.filter(t, t.port == variables.adminPort && (t.host == '[::]' || !t.host.startsWith('[')))
    .map(t, t.text + ' is to be reached on port ' + t.port
    + ', which is the sidecar\'s own for probes: give another with annotation podrobin.io/admin-port')
    + variables.policies.transformList(i, s,
      variables.policies.slice(0, i).exists(o, o == s)
      ? ['annotation podrobin.io/policy has two policies for ' + (s == '' ? 'all' : s) + ': one is enough']
      : s != '' && !variables.targets.exists(t, t.name == s.split(':')[0].substring(s.indexOf('/') + 1)
        && t.namespace == (s.contains('/') ? s.substring(0, s.indexOf('/')) : request.namespace)
        && (!s.contains(':') || t.servicePort == s.split(':')[1]))
      ? ['annotation podrobin.io/policy has a policy for ' + s + ', which annotation podrobin.io/service does not name: write it as there']
      : []).flatten()
# What in the pod stands in the way.
- name: clashes
  expression: |-
    (object.spec.?hostNetwork.orValue(false)
    ? ['it uses the node\'s network (hostNetwork), where the sidecar\'s ports would be the whole node\'s: drop hostNetwork, or leave the pod without podrobin']
    : [])
    + (object.spec.?os.?name.orValue('') == 'windows' || object.spec.?nodeSelector[?'kubernetes.io/os'].orValue('') == 'windows'
    ? ['it runs on Windows, and the sidecar on Linux alone: leave the pod without podrobin']
    : [])
    + (variables.containers.exists(c, c.name == 'podrobin')
    ? ['it has a container podrobin that was not injected: remove that, or the annotation podrobin.io/service']
    : [])
    + (object.spec.?volumes.orValue([]).exists(v, v.name == 'podrobin-token')
    ? ['it has a volume podrobin-token of its own: give that another name']
    : [])
    + variables.containers.map(c, c.?ports.orValue([])
      .filter(p, p.?protocol.orValue('TCP') == 'TCP' && string(p.containerPort) == variables.adminPort)
      .map(p, 'container ' + c.name + ' uses port ' + string(p.containerPort)
      + ', as the sidecar does for its probes: give the sidecar another with annotation podrobin.io/admin-port')).flatten()
    + variables.containers.map(c, c.?ports.orValue([])
      .filter(p, p.?protocol.orValue('TCP') == 'TCP').map(p, variables.targets
      .filter(t, t.port == string(p.containerPort))
      .map(t, 'container ' + c.name + ' uses port ' + t.port + ', where the sidecar is to listen for ' + t.text
      + ': give it another with annotation podrobin.io/listen, or as LISTEN= in podrobin.io/service')).flatten()).flatten()
    + variables.ownLowPorts.filter(first, variables.lowestPort < 1024
      && (!first.matches('^[0-9]{1,5}$') || int(first) > variables.lowestPort))
    .map(first, 'its sysctl net.ipv4.ip_unprivileged_port_start is ' + first + ', and the sidecar is to listen on port '
    + string(variables.lowestPort) + ': set it to 0, or drop it')
    + ['cpu', 'memory'].filter(r, variables.amounts[?r + '-request'].hasValue() && variables.amounts[?r + '-limit'].hasValue()
      && quantity(variables.amounts[r + '-request']).isGreaterThan(quantity(variables.amounts[r + '-limit'])))
    .map(r, 'the sidecar would request ' + variables.amounts[r + '-request'] + ' and be limited to '
    + variables.amounts[r + '-limit'] + ': raise podrobin.io/' + r + '-limit or lower podrobin.io/' + r + '-request')
- name: problems
  expression: |-
    size(variables.unreadable) > 0 || !variables.asked ? variables.unreadable
    : size(variables.contradictions) > 0 ? variables.contradictions
    : variables.clashes
{{- end }}

{{/* What is put into a pod. */}}
{{- define "podrobin.policy.parts" -}}
# The variables that tell the app where each Service is. Of two Services of one name the first has them.
- name: told
  expression: |-
    variables.targets.map(t, {
      "name": 'PODROBIN_' + t.name.replace('-', '_').upperAscii(),
      "address": (t.host == '0.0.0.0' ? '127.0.0.1' : t.host == '[::]' ? '[::1]' : t.host) + ':' + t.port
    })
    .map(t, [
      {"name": t.name + '_URL', "value": 'http://' + t.address},
      {"name": t.name + '_TARGET', "value": t.address}
    ]).flatten()
- name: toldOnce
  expression: |-
    variables.told.transformList(i, v, !variables.told.slice(0, i).exists(o, o.name == v.name), v)
- name: env
  expression: |-
    [['podrobin.io/service', 'PODROBIN_SERVICE'], ['podrobin.io/listen', 'PODROBIN_LISTEN'],
     ['podrobin.io/policy', 'PODROBIN_POLICY'], ['podrobin.io/log-level', 'PODROBIN_LOG_LEVEL']]
    .filter(s, s[0] in variables.annotations)
    .map(s, {"name": dyn(s[1]), "value": dyn(variables.annotations[s[0]])})
    + (variables.adminPort == '9800' ? [] : [{"name": dyn('PODROBIN_ADMIN'), "value": dyn('0.0.0.0:' + variables.adminPort)}])
    + [['PODROBIN_POD_NAME', 'metadata.name'], ['PODROBIN_NAMESPACE', 'metadata.namespace'],
       ['PODROBIN_NODE', 'spec.nodeName'], ['PODROBIN_POD_IP', 'status.podIP']]
    .map(f, {"name": dyn(f[0]), "valueFrom": dyn({"fieldRef": {"fieldPath": f[1]}})})
    + [{"name": dyn('PODROBIN_MAX_CONNECTIONS'), "value": dyn('500')}]
{{- with .Values.sidecar.extraEnv }}
# What the installer adds, in place of what the sidecar has anyway.
- name: extra
  expression: {{ toJson . | squote }}
- name: wholeEnv
  expression: |-
    variables.env.map(v, v.name in variables.extra ? {"name": v.name, "value": dyn(variables.extra[v.name])} : v)
    + {{ keys . | sortAlpha | toJson }}.filter(name, !variables.env.exists(v, v.name == name))
    .map(name, {"name": dyn(name), "value": dyn(variables.extra[name])})
{{- end }}
- name: sidecar
  expression: |-
    {
      "name": dyn('podrobin'),
      "image": dyn({{ include "podrobin.sidecarImage" . | quote }}),
      "imagePullPolicy": dyn({{ include "podrobin.sidecarPullPolicy" . | quote }}),
      "restartPolicy": dyn('Always'),
      "args": dyn(['run']),
      "env": dyn(variables.{{ ternary "wholeEnv" "env" (gt (len .Values.sidecar.extraEnv) 0) }}),
      "ports": dyn([{"name": dyn('podrobin-admin'), "containerPort": dyn(int(variables.adminPort))}]),
      "lifecycle": dyn({"postStart": {"exec": {"command": ['/podrobin', 'await']}}}),
      "livenessProbe": dyn({
        "httpGet": dyn({"path": '/livez', "port": 'podrobin-admin'}),
        "periodSeconds": dyn(10)
      }),
      "resources": dyn({
        "requests": {?"cpu": variables.amounts[?'cpu-request'], ?"memory": variables.amounts[?'memory-request']},
        "limits": {?"cpu": variables.amounts[?'cpu-limit'], ?"memory": variables.amounts[?'memory-limit']}
      }),
      "terminationMessagePolicy": dyn('FallbackToLogsOnError'),
      "securityContext": dyn({
        "runAsNonRoot": dyn(true),
        "runAsUser": dyn(65532),
        "runAsGroup": dyn(65532),
        "readOnlyRootFilesystem": dyn(true),
        "allowPrivilegeEscalation": dyn(false),
        "capabilities": dyn({"drop": ['ALL']}),
        "seccompProfile": dyn({"type": 'RuntimeDefault'})
      }),
      "volumeMounts": dyn([{
        "name": dyn('podrobin-token'),
        "mountPath": dyn('/var/run/secrets/kubernetes.io/serviceaccount'),
        "readOnly": dyn(true)
      }])
    }
- name: token
  expression: |-
    {
      "name": dyn('podrobin-token'),
      "projected": dyn({"sources": [
        {"serviceAccountToken": dyn({"path": dyn('token'), "expirationSeconds": dyn(3607)})},
        {"configMap": dyn({"name": dyn('kube-root-ca.crt'), "items": dyn([{"key": 'ca.crt', "path": 'ca.crt'}])})},
        {"downwardAPI": dyn({"items": [{"path": dyn('namespace'), "fieldRef": dyn({"fieldPath": 'metadata.namespace'})}]})}
      ]})
    }
# What the pod has of its own just as it would have been made, for `podrobin uninject`.
- name: kept
  expression: |-
    (variables.lowestPort < 1024 && size(variables.ownLowPorts) > 0 ? ['sysctl'] : [])
    + variables.containers.map(c, variables.toldOnce
      .filter(v, c.?env.orValue([]).exists(e, e.name == v.name && e.?value.orValue('') == v.value))
      .map(v, c.name + '/' + v.name)).flatten()
{{- end }}

{{/* Steps for the variables of each container in a list: they come first, so that the app's own can refer to them. */}}
{{- define "podrobin.policy.tell" -}}
{{ .list }}.transformList(i, c,
  (has(c.env) ? [] : [JSONPatch{op: 'add', path: '{{ .path }}/' + string(i) + '/env', value: []}])
  + variables.toldOnce.filter(v, !c.?env.orValue([]).exists(e, e.name == v.name))
  .transformList(n, v, JSONPatch{op: 'add', path: '{{ .path }}/' + string(i) + '/env/' + string(n), value: v})
).flatten()
{{- end }}
