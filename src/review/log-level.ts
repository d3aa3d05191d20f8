/** Levels of the log, from the least to the most. */
export const logLevels = ['error', 'warn', 'info', 'debug'] as const;

/** One of them. */
export type LogLevel = (typeof logLevels)[number];
