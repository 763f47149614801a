"""What moves under the plateau: measures that know what the task is about."""
