"""Starts the application. Everything else is in the package `mypipeline`."""

from mypipeline.app import BlankAppApplication

if __name__ == "__main__":
    app = BlankAppApplication()
    app.run()
