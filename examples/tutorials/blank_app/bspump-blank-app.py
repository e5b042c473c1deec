"""Starts the application. Everything else is in the package `blank`."""

from blank.app import BlankAppApplication

if __name__ == "__main__":
    app = BlankAppApplication()
    app.run()
