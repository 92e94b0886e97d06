"""What every HTTP exchange passes: the listener, middleware, limits, errors, and what routes depend on."""
