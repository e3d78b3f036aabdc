"""Finding out which APIs a gateway serves. Read-only and advisory: nothing found here can widen an access."""
