"""The search for the best file within limits: forecast, successive halving, verdict."""
