package dev.weft.engine.library;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/** The C declaration of the function that a method handle calls. */
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.RECORD_COMPONENT)
@interface Function {
  String value();

  /**
   * Whether the call is so short, and so sure not to call back, that the thread need not tell the
   * virtual machine that it is away. Saves some nanoseconds; a garbage collection waits for it.
   */
  boolean brief() default false;

  /** Whether a libtorch may lack it; its handle is then null. */
  boolean optional() default false;
}
