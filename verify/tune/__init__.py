"""What a spec's attentions cost by tile and order, and the smallest changes that cost less."""
