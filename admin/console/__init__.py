"""The console: the pages on the admin port, for people who do not want to speak HTTP. It does what the API does.

Each page is made on the server from what `admin.api` reads and writes for the same caller, so nobody sees or changes by
a page what the API would refuse; reading works without a script in the browser.
"""
