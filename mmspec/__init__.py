"""mmspec: declare a multimodal transformer, compile it, prove what it claims."""
