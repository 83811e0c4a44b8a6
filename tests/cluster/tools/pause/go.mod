// The process that holds namespaces: a pod's and the node's. Built by ../../build.sh.
module podrobin.invalid/tools/pause

go 1.26.0
