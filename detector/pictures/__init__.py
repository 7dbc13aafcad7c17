"""Reading photos as people see them, and drawing boxes on them."""
