package dev.weft.cli;

import sun.misc.Signal;

/** What Ctrl-C does while a run is being stopped by one before. */
final class Interruption {
  private Interruption() {}

  /**
   * Has the next Ctrl-C end the process at once, with nothing more saved. By itself the virtual
   * machine passes over signals once it shuts down.
   */
  static void quitAtNext() {
    try {
      Signal.handle(new Signal("INT"), _ -> Runtime.getRuntime().halt(Main.INTERRUPTED));
    } catch (IllegalArgumentException _) {
      // Without a signal of that name, or with -Xrs, there is nothing to take over.
      return;
    }
  }
}
