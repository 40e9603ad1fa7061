"""What files cost, and what becomes of them when something dies."""
