"""What people would use instead of Warren, under the same load."""
