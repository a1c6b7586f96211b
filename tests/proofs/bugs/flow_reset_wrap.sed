# proof: flow_reset
# breaks: .
# the generation wraps to old buckets
s/    if (index->generation == 0) {/    if (0) {/
