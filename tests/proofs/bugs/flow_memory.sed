# proof: flow_init
# breaks: keys end within the memory\|outside object bounds\|region
# the keys are forgotten in the size
s/tuoi_bucket_count(max_flows) \* (TUO_FLOW_WAYS \* sizeof(tuo_flow_key));/0;/
