package dev.weft.engine.program;

/** One thing that a linked program does. */
@FunctionalInterface
interface Step {
  void run();
}
