# proof: flow_remove
# breaks: one less
# a removed entry is still counted
/^static void tuo__index_remove/,/^}/s/index->live_count--;//
