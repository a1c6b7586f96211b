# proof: flow_reset
# breaks: empty\|buckets are older\|nothing is found
# the generation wraps to old buckets
s/    if (index->generation == 0) {/    if (0) {/
