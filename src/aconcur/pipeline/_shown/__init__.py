"""How the progress of a run is shown: ``progress`` is the door, ``bars`` draws them with rich."""
