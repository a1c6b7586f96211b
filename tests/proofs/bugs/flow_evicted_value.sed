# proof: flow_insert
# breaks: one displaced\|handed out
# an entry is displaced without notice
s/if (evicted \&\& bucket->tag\[way\] != 0) {/if (evicted \&\& bucket->tag[way] > 9) {/
