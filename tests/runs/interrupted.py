"""Removals that are interrupted after any number of deletions."""

import os


def deletions(monkeypatch, stop_after):
    """Let that many files and folders be deleted; returns those that were."""
    done = []

    def limited(delete):
        def delete_or_stop(path, **where):
            if len(done) == stop_after:
                raise KeyboardInterrupt
            done.append(path)
            delete(path, **where)

        return delete_or_stop

    for name in ("unlink", "rmdir"):
        monkeypatch.setattr(f"os.{name}", limited(getattr(os, name)))
    return done
