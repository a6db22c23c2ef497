"""What runs came to: compared, blamed, summed up, and shown as text or as pages."""
