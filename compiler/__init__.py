"""The compiler: Spec -> Plan -> a PyTorch package."""
