# proof: flow_bucket
# breaks: outside object bounds\|within the table
# the mask is the number of buckets
/tuo__index_probe(const tuo__index/,/^}/s/\& index->bucket_mask\]/\& (index->bucket_mask + 1)]/
