# What every Ruby script of the driver tests prints with: one line a fact, equal wherever it runs.

$failed = false

def say(label, value)
  puts "#{label}: #{value.inspect}"
end

# A step that fails says so, and the script goes on with the next one.
def attempt(label)
  return if ENV.fetch('SKIPPED_STEPS', '').split(',').include?(label)

  yield
rescue StandardError => e
  $failed = true
  say "#{label} failed", "#{e.class}: #{e.message}"
end
