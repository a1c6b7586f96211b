# proof: flow_remove
# breaks: one less
# a removed entry is still counted
/^static void tuoi_index_remove/,/^}/s/index->live_count--;//
