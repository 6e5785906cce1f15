"""Pictures and pages made of figures; nothing loaded from elsewhere."""
