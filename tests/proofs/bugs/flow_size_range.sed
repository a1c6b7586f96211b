# proof: flow_sizes
# breaks: out of range
# the upper bound is gone
s/if (max_flows == 0 || max_flows > TUOI_FLOWS_MAX) return 0;/if (max_flows == 0 || max_flows > TUOI_FLOWS_MAX + 1) return 0;/
