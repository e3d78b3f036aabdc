"""What gateways talk to: a door turns foreign bytes into a Request, and a Decision into foreign bytes."""
