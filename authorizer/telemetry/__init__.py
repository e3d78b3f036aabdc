"""What operators see: metrics, decision events and the operational log. Nothing here decides or waits."""
