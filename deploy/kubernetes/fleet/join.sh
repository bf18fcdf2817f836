#!/bin/sh
# Gives this pod its store before the node starts:
#
#   it has one                  nothing is done
#   it has none                 copies that of another node
#   it is the pod that begins (ConfigMap countersign-begins), and etcd has no fleet of this name
#                               begins the fleet with its store; makes one first if it has none
#
# The node would copy one as well, and its probes would end it before a large one is there.
set -eu

store=/var/lib/countersign/countersign-data

has_store() { [ -e "$store/data.mdb" ]; }

# Of the nodes that say in etcd where they are reached, the one that is furthest ahead; by the certificates of COUNTERSIGN_CLUSTER.
copy() { countersign cluster join --store "$store"; }

# A node of a fleet makes no store. So this start, which ends when there is one, knows of no fleet. The store is made beside its
# place, since an interrupted one is none.
make() (
    for variable in $(env); do
        case $variable in COUNTERSIGN_CLUSTER*) unset "${variable%%=*}" ;; esac
    done
    rm -rf "$store.new"
    countersign serve --config /etc/countersign/countersign.yaml --store "$store.new" &
    until countersign health --store "$store.new" >/dev/null 2>&1; do
        # Fails when it has ended.
        kill -0 $!
        sleep 1
    done
    kill $!
    wait $!
    rm -rf "$store"
    mv "$store.new" "$store"
)

begin() {
    has_store || make
    # The second is for a store of this fleet whose etcd was lost; every other is refused.
    countersign cluster init --store "$store" || countersign cluster reseed --store "$store"
}

# Ends after five minutes, so that the kubelet starts it again, and shows how often.
tries=60
wait_for() {
    echo "waiting for $1" >&2
    tries=$((tries - 1))
    [ $tries -gt 0 ] || exit 1
    sleep 5
}

if [ "${BEGINNING_POD:-}" = "$COUNTERSIGN_CLUSTER_NODE" ]; then
    until said=$(countersign cluster status 2>&1); do
        case $said in
        # The only answer of etcd, or of its absence, upon which a fleet is begun.
        *"There is no fleet"*)
            begin
            exit
            ;;
        esac
        wait_for "etcd, which says: $said"
    done
fi
has_store && exit
until copy; do wait_for "another node that is ready"; done
