# proof: flow_oldest
# breaks: oldest
# stamps are compared without the clock
s/index->clock - bucket->stamp\[way\] > index->clock - bucket->stamp\[oldest\]/bucket->stamp[way] < bucket->stamp[oldest]/
