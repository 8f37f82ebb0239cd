"""Files on disks, in buckets and on the web; atomic writes; JSON lists longer than memory."""
