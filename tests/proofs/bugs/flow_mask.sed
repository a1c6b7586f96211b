# proof: flow_bucket
# breaks: outside object bounds\|within the table
# the mask is the number of buckets
/tuoi_index_probe(const tuoi_index/,/^}/s/\& index->bucket_mask\]/\& (index->bucket_mask + 1)]/
